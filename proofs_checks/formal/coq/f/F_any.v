(** F11. One step of any law: DDIM(eta) from the right law of x_t, for every finite law in every dimension.

    Along coordinate k, which is any direction in coordinates along it. In units of [sigma_t], [u = x_t/sigma_t], the joint law of the atom i and
    u is that of D2 (D_time.v), with [r = alpha_t/sigma_t]; [xhat u] is the denoiser's answer. The step's own noise is [fresh z], z from N(0, I)
    and independent of the rest, and [kept^2 + fresh^2 = sigma_s^2]. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Scale Mixture Divergence Formulas A E F B B_small Posterior D_time Translate.
Local Open Scope R_scope.

(** The weight of the denoiser's answer in the step, the variance that it loses, and how far two spreads are apart *)
Definition weight (a_t s_t a_s kept : R) : R := a_s - a_t * kept / s_t.
Definition lost_var (b m : R) : R := b ^ 2 * m.
Definition spreads_apart (var lost : R) : R := (sqrt var - sqrt (var - lost)) ^ 2.

Lemma tie_denoiser_weight a_t s_t a_s kept : Formulas.denoiser_weight a_t s_t a_s kept = weight a_t s_t a_s kept.
Proof. unfold Formulas.denoiser_weight, weight, Rdiv. ring. Qed.
Lemma tie_step_lost_var b m : Formulas.step_lost_var b m = lost_var b m.
Proof. unfold Formulas.step_lost_var, lost_var. ring. Qed.
Lemma tie_step_w2_low v l : Formulas.step_w2_low v l = spreads_apart v l.
Proof. unfold Formulas.step_w2_low, spreads_apart. replace ((- 1) * l + v) with (v - l) by ring. ring. Qed.

Section Any_law.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (a_t s_t : R).
Hypothesis Hw : weights n w.
Hypothesis Hs : 0 < s_t.
Notation r := (a_t / s_t).
Notation J := (Ejoint d n w y r).
Notation xhat := (hat d n w y r).
Notation mu := (mean n w y).

Let Hp := proj1 Hw.
Let Hsum := proj2 Hw.

(** ** The expectation under the joint law *)

Lemma tame_J f : (forall i, (i < n)%nat -> tame d (f i)) -> tame d (fun u => sumn n (fun i => w i * ratio d (at_r y r i) u * f i u)).
Proof.
  intros Hf. apply (tame_sum d n (fun i u => w i * ratio d (at_r y r i) u * f i u)). intros i Hi.
  apply (tame_mult d (fun u => w i * ratio d (at_r y r i) u)); auto. apply tame_scal, tame_ratio.
Qed.

Lemma J_atoms f : (forall i, (i < n)%nat -> tame d (f i)) -> J f = sumn n (fun i => w i * E d (fun u => ratio d (at_r y r i) u * f i u)).
Proof.
  intros Hf. unfold Ejoint. rewrite (E_sum d n (fun i u => w i * ratio d (at_r y r i) u * f i u)).
  - apply sumn_ext. intros i Hi. rewrite <- E_scal by (apply tame_mult; [apply tame_ratio|auto]). apply E_ext. intros; ring.
  - intros i Hi. apply (tame_mult d (fun u => w i * ratio d (at_r y r i) u)); auto. apply tame_scal, tame_ratio.
Qed.

Lemma J_ext f g : (forall i u, (i < n)%nat -> f i u = g i u) -> J f = J g.
Proof. intros H. unfold Ejoint. apply E_ext. intros u. apply sumn_ext. intros i Hi. rewrite H; auto. Qed.

Lemma J_plus f g : (forall i, (i < n)%nat -> tame d (f i)) -> (forall i, (i < n)%nat -> tame d (g i)) -> J (fun i u => f i u + g i u) = J f + J g.
Proof.
  intros Hf Hg. unfold Ejoint. rewrite <- E_plus by (apply tame_J; auto). apply E_ext. intros u. rewrite <- sumn_plus. apply sumn_ext. intros; ring.
Qed.

Lemma J_scal c f : (forall i, (i < n)%nat -> tame d (f i)) -> J (fun i u => c * f i u) = c * J f.
Proof.
  intros Hf. unfold Ejoint. rewrite <- E_scal by (apply tame_J; auto). apply E_ext. intros u. rewrite <- sumn_scal. apply sumn_ext. intros; ring.
Qed.

Lemma J_le f g : (forall i, (i < n)%nat -> tame d (f i)) -> (forall i, (i < n)%nat -> tame d (g i)) -> (forall i u, (i < n)%nat -> f i u <= g i u) -> J f <= J g.
Proof.
  intros Hf Hg H. unfold Ejoint. apply E_le; try (apply tame_J; auto). intros u. apply sumn_le. intros i Hi.
  apply Rmult_le_compat_l; auto. apply Rmult_le_pos; auto. left; apply ratio_pos.
Qed.

(** Nothing that u tells is left in [x_0 - xhat]. *)
Lemma tower k f : J (fun i u => y i k * f u) = J (fun _ u => xhat u k * f u).
Proof.
  unfold Ejoint. apply E_ext. intros u. assert (Hm := mix_pos d n w (at_r y r) u Hw).
  rewrite sumn_scal_r. change (sumn n (fun i => w i * ratio d (at_r y r i) u)) with (mix d n w (at_r y r) u).
  rewrite (sumn_ext n _ (fun i => mix d n w (at_r y r) u * f u * (post d n w y r i u * y i k))).
  - rewrite sumn_scal. unfold hat. ring.
  - intros i _. unfold post. field. lra.
Qed.

(** ** Second moments along coordinate k: of u, of the denoiser's answer and of the atom, each less its mean *)

Variable k : nat.
Hypothesis Hk : (k < d)%nat.
Notation l := (lam n w y k).
Notation U u := (u k - r * mu k).
Notation D u := (xhat u k - mu k).
Notation Q i := (y i k - mu k).
(** The variance of what the denoiser knows *)
Definition known : R := J (fun _ u => D u * D u).
(** [m], the mean of the posterior's variance *)
Definition unknown : R := J (fun i u => (y i k - xhat u k) ^ 2).

Lemma tame_U : tame d (fun u => U u).
Proof. apply (tame_minus d (fun u => u k)); [apply tame_coord; auto|apply tame_const]. Qed.
Lemma tame_D : tame d (fun u => D u).
Proof. apply (tame_minus d (fun u => xhat u k)); [apply tame_hat; auto|apply tame_const]. Qed.

Lemma l_value : l = sumn n (fun i => w i * Q i ^ 2).
Proof. reflexivity. Qed.

Lemma E_ratio_coord m : E d (fun u => ratio d m u * u k) = m k.
Proof.
  rewrite (E_ext d _ (fun u => ratio d m u * dot d (unit k 1) u)).
  - rewrite E_ratio_dot, dot_unit by auto. ring.
  - intros u. rewrite dot_comm, dot_unit by auto. ring.
Qed.

Lemma moment_UU : J (fun _ u => U u * U u) = 1 + r ^ 2 * l.
Proof.
  rewrite J_atoms by (intros; apply (tame_mult d (fun u => U u)); apply tame_U).
  rewrite (sumn_ext n _ (fun i => w i + r ^ 2 * (w i * Q i ^ 2))).
  - rewrite sumn_plus, Hsum, sumn_scal. reflexivity.
  - intros i _. set (m := at_r y r i).
    assert (T1 : tame d (fun u => ratio d m u * u k ^ 2)) by (apply tame_mult; [apply tame_ratio|apply tame_sq; auto]).
    assert (T2 : tame d (fun u => ratio d m u * u k)) by (apply tame_mult; [apply tame_ratio|apply tame_coord; auto]).
    rewrite (E_ext d _ (fun u => ratio d m u * u k ^ 2 + (- (2 * r * mu k)) * (ratio d m u * u k) + (r * mu k) ^ 2 * ratio d m u)) by (intros; ring).
    rewrite E_plus, E_plus, !E_scal, E_ratio_sq, E_ratio_coord, E_ratio; auto; try apply tame_ratio; try (apply tame_scal; auto; apply tame_ratio); try (apply tame_plus; auto; apply tame_scal; auto).
    unfold m, at_r, vscal. ring.
Qed.

Lemma moment_QU : J (fun i u => Q i * U u) = r * l.
Proof.
  rewrite J_atoms by (intros; apply tame_scal, tame_U).
  rewrite (sumn_ext n _ (fun i => r * (w i * Q i ^ 2))); [rewrite sumn_scal; reflexivity|].
  intros i _. set (m := at_r y r i).
  assert (T2 : tame d (fun u => ratio d m u * u k)) by (apply tame_mult; [apply tame_ratio|apply tame_coord; auto]).
  rewrite (E_ext d _ (fun u => Q i * (ratio d m u * u k) + (- (Q i * (r * mu k))) * ratio d m u)) by (intros; ring).
  rewrite E_plus, !E_scal, E_ratio_coord, E_ratio; auto; try apply tame_ratio; try (apply tame_scal; auto; apply tame_ratio).
  unfold m, at_r, vscal. ring.
Qed.

Lemma moment_QQ : J (fun i _ => Q i * Q i) = l.
Proof.
  rewrite J_atoms by (intros; apply tame_const). rewrite l_value. apply sumn_ext. intros i _.
  rewrite (E_ext d _ (fun u => Q i * Q i * ratio d (at_r y r i) u)) by (intros; ring). rewrite E_scal, E_ratio by apply tame_ratio. ring.
Qed.

(** The tower with both sides less their mean *)
Lemma tower_Q f : tame d f -> J (fun i u => Q i * f u) = J (fun _ u => D u * f u).
Proof.
  intros Tf. assert (T1 : tame d (fun u => xhat u k * f u)) by (apply (tame_mult d (fun u => xhat u k)); auto; apply tame_hat; auto).
  rewrite (J_ext _ (fun i u => y i k * f u + (- mu k) * f u)) by (intros; ring).
  rewrite (J_ext (fun _ u => D u * f u) (fun _ u => xhat u k * f u + (- mu k) * f u)) by (intros; ring).
  rewrite !J_plus, tower; auto; intros; apply tame_scal; auto.
Qed.

Lemma quadratic p q c : J (fun i u => (p * U u + q * D u + c * Q i) ^ 2)
  = p ^ 2 * (1 + r ^ 2 * l) + q ^ 2 * known + c ^ 2 * l + 2 * p * q * (r * l) + 2 * p * c * (r * l) + 2 * q * c * known.
Proof.
  assert (TU := tame_U). assert (TD := tame_D).
  assert (T1 : tame d (fun u => U u * U u)) by (apply (tame_mult d (fun u => U u)); auto).
  assert (T2 : tame d (fun u => D u * D u)) by (apply (tame_mult d (fun u => D u)); auto).
  assert (T3 : tame d (fun u => D u * U u)) by (apply (tame_mult d (fun u => D u)); auto).
  assert (T4 : forall i, tame d (fun u => Q i * U u)) by (intros; apply tame_scal; auto).
  assert (T5 : forall i, tame d (fun u => Q i * D u)) by (intros; apply tame_scal; auto).
  rewrite (J_ext _ (fun i u => p ^ 2 * (U u * U u) + (q ^ 2 * (D u * D u) + (c ^ 2 * (Q i * Q i) + (2 * p * q * (D u * U u) + (2 * p * c * (Q i * U u) + 2 * q * c * (Q i * D u))))))) by (intros; ring).
  assert (V1 : tame d (fun u => p ^ 2 * (U u * U u))) by (apply tame_scal; auto).
  assert (V2 : tame d (fun u => q ^ 2 * (D u * D u))) by (apply tame_scal; auto).
  assert (V4 : tame d (fun u => 2 * p * q * (D u * U u))) by (apply tame_scal; auto).
  assert (V5 : forall i, tame d (fun u => 2 * p * c * (Q i * U u))) by (intros; apply tame_scal; auto).
  assert (V6 : forall i, tame d (fun u => 2 * q * c * (Q i * D u))) by (intros; apply tame_scal; auto).
  assert (V3 : forall i : nat, tame d (fun _ => c ^ 2 * (Q i * Q i))) by (intros; apply tame_const).
  assert (W5 : forall i, tame d (fun u => 2 * p * c * (Q i * U u) + 2 * q * c * (Q i * D u))) by (intros; apply tame_plus; auto).
  assert (W4 : forall i, tame d (fun u => 2 * p * q * (D u * U u) + (2 * p * c * (Q i * U u) + 2 * q * c * (Q i * D u)))) by (intros; apply (tame_plus d (fun u => 2 * p * q * (D u * U u))); auto).
  assert (W3 : forall i, tame d (fun u => c ^ 2 * (Q i * Q i) + (2 * p * q * (D u * U u) + (2 * p * c * (Q i * U u) + 2 * q * c * (Q i * D u)))))
    by (intros; apply (tame_plus d (fun _ => c ^ 2 * (Q i * Q i))); auto; apply tame_const).
  assert (W2 : forall i, tame d (fun u => q ^ 2 * (D u * D u) + (c ^ 2 * (Q i * Q i) + (2 * p * q * (D u * U u) + (2 * p * c * (Q i * U u) + 2 * q * c * (Q i * D u))))))
    by (intros; apply (tame_plus d (fun u => q ^ 2 * (D u * D u))); auto).
  rewrite !J_plus by auto.
  rewrite (J_scal (p ^ 2) (fun _ u => U u * U u)), (J_scal (q ^ 2) (fun _ u => D u * D u)), (J_scal (c ^ 2) (fun i _ => Q i * Q i)), (J_scal (2 * p * q) (fun _ u => D u * U u)),
    (J_scal (2 * p * c) (fun i u => Q i * U u)), (J_scal (2 * q * c) (fun i u => Q i * D u)); auto; try (intros; apply tame_const).
  rewrite (tower_Q (fun u => D u)) by auto. rewrite <- (tower_Q (fun u => U u)) by auto. rewrite moment_UU, moment_QQ, moment_QU. fold known. ring.
Qed.

Lemma unknown_value : unknown = l - known.
Proof.
  unfold unknown. rewrite (J_ext _ (fun i u => (0 * U u + (-1) * D u + 1 * Q i) ^ 2)) by (intros; ring). rewrite quadratic. ring.
Qed.

(** ** What a step does *)

Variables (a_s kept fresh : R).
Notation B := (weight a_t s_t a_s kept).
(** The step's end, with z for its own noise, and the expectation over all three *)
Definition step_end (u z : vec) : vec := fun j => ddim (xhat u j) (eps_of (s_t * u j) (xhat u j) a_t s_t) a_s kept + fresh * z j.
Definition J_fresh (f : nat -> vec -> vec -> R) : R := J (fun i u => E d (fun z => f i u z)).

Lemma step_deviation u z : step_end u z k - a_s * mu k = kept * U u + B * D u + fresh * z k.
Proof. unfold step_end, ddim, eps_of, weight. field. lra. Qed.

Lemma ratio_zero u : ratio d (fun _ => 0) u = 1.
Proof.
  unfold ratio. apply exp_zero. replace (dot d (fun _ => 0) u) with 0 by (unfold dot; symmetry; apply sumn_zero; intros; ring).
  replace (sq d (fun _ => 0)) with 0 by (unfold sq, dot; symmetry; apply sumn_zero; intros; ring). field.
Qed.

Lemma noise_square A c : E d (fun z => (A + c * z k) ^ 2) = A ^ 2 + c ^ 2.
Proof.
  rewrite (E_ext d _ (fun z => A ^ 2 * ratio d (fun _ => 0) z + (2 * A * c * (ratio d (fun _ => 0) z * z k) + c ^ 2 * (ratio d (fun _ => 0) z * z k ^ 2)))).
  - assert (T1 : tame d (fun z => ratio d (fun _ => 0) z * z k ^ 2)) by (apply tame_mult; [apply tame_ratio|apply tame_sq; auto]).
    assert (T2 : tame d (fun z => ratio d (fun _ => 0) z * z k)) by (apply tame_mult; [apply tame_ratio|apply tame_coord; auto]).
    rewrite E_plus, E_plus, !E_scal, E_ratio_sq, E_ratio_coord, E_ratio; auto; try (apply tame_scal; auto; apply tame_ratio); try apply tame_ratio; try (apply tame_plus; apply tame_scal; auto). ring.
  - intros z. rewrite ratio_zero. ring.
Qed.

Lemma noise_linear A c : E d (fun z => A + c * z k) = A.
Proof.
  rewrite (E_ext d _ (fun z => A * ratio d (fun _ => 0) z + c * (ratio d (fun _ => 0) z * z k))).
  - assert (T2 : tame d (fun z => ratio d (fun _ => 0) z * z k)) by (apply tame_mult; [apply tame_ratio|apply tame_coord; auto]).
    rewrite E_plus, !E_scal, E_ratio_coord, E_ratio; auto; try apply tame_ratio; try (apply tame_scal; auto; apply tame_ratio). ring.
  - intros z. rewrite ratio_zero. ring.
Qed.

Lemma tame_part p q : tame d (fun u => p * U u + q * D u).
Proof. apply tame_plus; apply tame_scal; [apply tame_U|apply tame_D]. Qed.

Lemma square_nonneg f : (forall i, (i < n)%nat -> tame d (f i)) -> 0 <= J (fun i u => f i u ^ 2).
Proof.
  intros Hf. rewrite <- (E_const d 0). apply E_le; [apply tame_const|apply (tame_J (fun i u => f i u ^ 2)); intros; apply tame_pow; auto|].
  intros u. apply sumn_nonneg. intros i Hi. apply Rmult_le_pos; [apply Rmult_le_pos; auto; left; apply ratio_pos|apply pow2_ge_0].
Qed.

Lemma variance_split s_s : kept ^ 2 + fresh ^ 2 = s_s ^ 2 ->
  J (fun _ u => (kept * U u + B * D u) ^ 2) + fresh ^ 2 = var_t a_s s_s l - lost_var B unknown.
Proof.
  intros Hv. rewrite (J_ext _ (fun i u => (kept * U u + B * D u + 0 * Q i) ^ 2)) by (intros; ring). rewrite quadratic, unknown_value.
  unfold lost_var, var_t, weight. rewrite <- Hv. field. lra.
Qed.

Lemma variance_scaled s_s e : kept ^ 2 + fresh ^ 2 = s_s ^ 2 ->
  J_fresh (fun _ u z => e * (step_end u z k - a_s * mu k) ^ 2) = e * (var_t a_s s_s l - lost_var B unknown).
Proof.
  intros Hv. unfold J_fresh. rewrite (J_ext _ (fun i u => e * (kept * U u + B * D u) ^ 2 + e * fresh ^ 2)).
  - assert (T0 : tame d (fun u => (kept * U u + B * D u) ^ 2)) by (apply (tame_pow d (fun u => kept * U u + B * D u)), tame_part).
    rewrite J_plus; [|intros; apply tame_scal; auto|intros; apply tame_const]. rewrite J_scal by auto. rewrite <- (variance_split s_s Hv).
    rewrite (J_atoms (fun _ _ => e * fresh ^ 2)) by (intros; apply tame_const). rewrite (sumn_ext n _ (fun i => w i * (e * fresh ^ 2))).
    + rewrite sumn_scal_r, Hsum. ring.
    + intros i _. rewrite (E_ext d _ (fun u => e * fresh ^ 2 * ratio d (at_r y r i) u)) by (intros; ring). rewrite E_scal, E_ratio by apply tame_ratio. ring.
  - intros i u _. rewrite (E_ext d _ (fun z => e * ((kept * U u + B * D u) + fresh * z k) ^ 2)).
    + rewrite E_scal; [rewrite noise_square; ring|]. apply (tame_pow d (fun z => kept * U u + B * D u + fresh * z k)).
      apply (tame_plus d (fun _ => kept * U u + B * D u)); [apply tame_const|apply tame_scal, tame_coord; auto].
    + intros z. rewrite step_deviation. ring.
Qed.

(** The variance along k is [v_s - B^2 m], whatever the law. *)
Theorem F11_variance s_s : kept ^ 2 + fresh ^ 2 = s_s ^ 2 ->
  J_fresh (fun _ u z => (step_end u z k - a_s * mu k) ^ 2) = var_t a_s s_s l - lost_var B unknown.
Proof.
  intros Hv. rewrite <- (Rmult_1_l (var_t a_s s_s l - lost_var B unknown)), <- (variance_scaled s_s 1 Hv). unfold J_fresh.
  apply J_ext. intros i u _. apply E_ext. intros; ring.
Qed.

Lemma variance_nonneg s_s : kept ^ 2 + fresh ^ 2 = s_s ^ 2 -> 0 <= var_t a_s s_s l - lost_var B unknown.
Proof.
  intros Hv. rewrite <- (variance_split s_s Hv). pose proof (pow2_ge_0 fresh).
  pose proof (square_nonneg (fun _ u => kept * U u + B * D u) ltac:(intros; apply tame_part)). lra.
Qed.

Lemma unknown_nonneg : 0 <= unknown.
Proof. apply (square_nonneg (fun i u => y i k - xhat u k)). intros i _. apply (tame_minus d (fun _ => y i k)); [apply tame_const|apply tame_hat; auto]. Qed.

(** Its mean is the mean of x_s. *)
Theorem F11_mean : J_fresh (fun _ u z => step_end u z k - a_s * mu k) = 0.
Proof.
  unfold J_fresh. assert (TU := tame_U). assert (TD := tame_D).
  assert (M : J (fun i _ => Q i) = 0).
  { rewrite J_atoms by (intros; apply tame_const). rewrite <- (xi_centred n w y Hw k). apply sumn_ext. intros i _.
    rewrite (E_ext d _ (fun u => Q i * ratio d (at_r y r i) u)) by (intros; ring). rewrite E_scal, E_ratio by apply tame_ratio. unfold xi, vminus. ring. }
  assert (MD : J (fun _ u => D u) = 0).
  { rewrite (J_ext _ (fun _ u => D u * 1)) by (intros; ring). rewrite <- (tower_Q (fun _ => 1)) by apply tame_const.
    rewrite (J_ext _ (fun i _ => Q i)) by (intros; ring). exact M. }
  assert (MU : J (fun _ u => U u) = 0).
  { rewrite J_atoms by auto. rewrite <- (Rmult_0_r r), <- (xi_centred n w y Hw k), <- sumn_scal. apply sumn_ext. intros i _.
    assert (T2 : tame d (fun u => ratio d (at_r y r i) u * u k)) by (apply tame_mult; [apply tame_ratio|apply tame_coord; auto]).
    rewrite (E_ext d _ (fun u => ratio d (at_r y r i) u * u k + (- (r * mu k)) * ratio d (at_r y r i) u)) by (intros; ring).
    rewrite E_plus, E_scal, E_ratio_coord, E_ratio; auto; try apply tame_ratio; try (apply tame_scal, tame_ratio). unfold xi, vminus, at_r, vscal. ring. }
  rewrite (J_ext _ (fun _ u => kept * U u + B * D u)).
  - rewrite J_plus by (intros; apply tame_scal; auto). rewrite (J_scal kept (fun _ u => U u)), (J_scal B (fun _ u => D u)) by auto. rewrite MU, MD. ring.
  - intros i u _. rewrite (E_ext d _ (fun z => kept * U u + B * D u + fresh * z k)); [apply noise_linear|]. intros z. apply step_deviation.
Qed.

(** The denoiser is better than the best linear guess by the variance of what lies between them. *)
Notation slope := (Formulas.posterior_slope a_t s_t l).
Definition between (u : vec) : R := D u - slope * (s_t * u k - a_t * mu k).

Lemma l_nonneg : 0 <= l.
Proof. apply (lam_nonneg n w y Hw). Qed.

Lemma between_alt u : between u = D u - slope * s_t * U u.
Proof. unfold between. field. lra. Qed.

Lemma tame_between : tame d between.
Proof.
  rewrite (functional_extensionality between (fun u => D u - slope * s_t * U u)) by (intros; apply between_alt).
  apply tame_minus; [apply tame_D|apply tame_scal, tame_U].
Qed.

Theorem F11_mmse : unknown = Formulas.gaussian_mmse (snr_of a_t s_t) l - J (fun _ u => between u ^ 2).
Proof.
  rewrite (J_ext (fun _ u => between u ^ 2) (fun i u => ((- (slope * s_t)) * U u + 1 * D u + 0 * Q i) ^ 2)) by (intros; rewrite between_alt; ring).
  rewrite quadratic, unknown_value, tie_posterior_slope, tie_gaussian_mmse. unfold gmmse, snr_of, var_t. pose proof l_nonneg as Hl.
  assert (0 < s_t ^ 2) by (apply pow_lt; auto). assert (0 <= a_t ^ 2 * l) by (apply Rmult_le_pos; auto; apply pow2_ge_0).
  assert (H1 : 1 + l * (a_t ^ 2 / s_t ^ 2) = (a_t ^ 2 * l + s_t ^ 2) / s_t ^ 2) by (field; lra). rewrite H1. field. split; lra.
Qed.

Lemma between_nonneg : 0 <= J (fun _ u => between u ^ 2).
Proof. apply (square_nonneg (fun _ => between)). intros. apply tame_between. Qed.

(** Gaussian data of the same variance lose [B^2 lam/(1 + snr lam)]: what is left is F9's share. *)
Lemma gaussian_share s_s : kept ^ 2 + fresh ^ 2 = s_s ^ 2 ->
  eta_var l a_t s_t a_s kept (fresh ^ 2) 1 = var_t a_s s_s l - lost_var B (Formulas.gaussian_mmse (snr_of a_t s_t) l).
Proof.
  intros Hv. rewrite tie_gaussian_mmse. unfold eta_var, lost_var, gmmse, snr_of, weight, var_t. rewrite <- Hv. pose proof l_nonneg as Hl.
  assert (0 < s_t ^ 2) by (apply pow_lt; auto). assert (0 <= a_t ^ 2 * l) by (apply Rmult_le_pos; auto; apply pow2_ge_0).
  assert (H1 : 1 + l * (a_t ^ 2 / s_t ^ 2) = (a_t ^ 2 * l + s_t ^ 2) / s_t ^ 2) by (field; lra). rewrite H1. field. repeat split; lra.
Qed.

(** So no law keeps less than Gaussian data do (F1, F9) … *)
Theorem F11_keeps s_s : kept ^ 2 + fresh ^ 2 = s_s ^ 2 ->
  eta_var l a_t s_t a_s kept (fresh ^ 2) 1 <= J_fresh (fun _ u z => (step_end u z k - a_s * mu k) ^ 2).
Proof.
  intros Hv. rewrite (F11_variance s_s Hv), (gaussian_share s_s Hv), F11_mmse. unfold lost_var. pose proof between_nonneg.
  assert (0 <= B ^ 2) by apply pow2_ge_0. nra.
Qed.

(** … and a finite law that has a spread along k keeps more, for its denoiser is bounded and so not linear. *)
Lemma tilt m theta u : ratio d m u * exp (theta * u k) = exp (theta * m k + theta ^ 2 / 2) * ratio d (vplus m (unit k theta)) u.
Proof.
  unfold ratio. rewrite <- !exp_plus. f_equal. rewrite dot_plus_l, sq_plus, dot_unit by auto. unfold sq at 3. rewrite dot_unit by auto.
  rewrite (dot_comm d (unit k theta) u), dot_unit by auto. unfold unit. rewrite PeanoNat.Nat.eqb_refl. field.
Qed.

Lemma E_tilted m theta q c p : E d (fun u => ratio d m u * ((q - c * (u k - p)) * exp (theta * u k))) = exp (theta * m k + theta ^ 2 / 2) * (q - c * (m k + theta - p)).
Proof.
  set (m' := vplus m (unit k theta)). set (e := exp (theta * m k + theta ^ 2 / 2)).
  assert (T2 : tame d (fun u => ratio d m' u * u k)) by (apply tame_mult; [apply tame_ratio|apply tame_coord; auto]).
  rewrite (E_ext d _ (fun u => e * (q + c * p) * ratio d m' u + (- (e * c)) * (ratio d m' u * u k))).
  - rewrite E_plus, !E_scal, E_ratio, E_ratio_coord; auto; try apply tame_ratio; try (apply tame_scal; auto; apply tame_ratio).
    unfold m', vplus, unit. rewrite PeanoNat.Nat.eqb_refl. ring.
  - intros u. replace (ratio d m u * ((q - c * (u k - p)) * exp (theta * u k))) with ((q - c * (u k - p)) * (ratio d m u * exp (theta * u k))) by ring.
    rewrite tilt. fold m' e. ring.
Qed.

Lemma between_pos : 0 < a_t -> 0 < l -> 0 < J (fun _ u => between u ^ 2).
Proof.
  intros Ha Hl. set (c := slope * s_t).
  assert (Hc : 0 < c). { unfold c. rewrite tie_posterior_slope. unfold var_t. apply Rmult_lt_0_compat; auto. apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; auto|].
    assert (0 < s_t ^ 2) by (apply pow_lt; auto). assert (0 <= a_t ^ 2 * l) by (apply Rmult_le_pos; [apply pow2_ge_0|lra]). lra. }
  set (S := sumn n (fun i => Rabs (Q i * (1 - c * r)))). assert (HS : 0 <= S) by (apply sumn_nonneg; intros; apply Rabs_pos).
  set (theta := (S + 1) / c). set (phi := fun u : vec => exp (theta * u k)).
  assert (Tp : tame d phi).
  { apply tame_exp, lip_scal. exists 1. split; [lra|]. intros u v. rewrite Rmult_1_l. apply (sumn_term d (fun k => Rabs (vminus u v k)) k); auto. intros; apply Rabs_pos. }
  assert (Tb := tame_between). assert (TU := tame_U). assert (TD := tame_D).
  assert (Tbp : tame d (fun u => between u * phi u)) by (apply tame_mult; auto).
  assert (Tpp : tame d (fun u => phi u * phi u)) by (apply tame_mult; auto).
  set (G := J (fun _ u => between u * phi u)). set (P := J (fun _ u => phi u * phi u)).
  assert (HG : G < 0).
  { unfold G. assert (TQ : forall i : nat, tame d (fun u => (Q i - c * U u) * phi u)).
    { intros i. apply (tame_mult d (fun u => Q i - c * U u)); auto. apply (tame_minus d (fun _ => Q i)); [apply tame_const|apply tame_scal; auto]. }
    assert (X : J (fun _ u => between u * phi u) = J (fun i u => (Q i - c * U u) * phi u)).
    { assert (T3 : tame d (fun u => (- c) * (U u * phi u))) by (apply tame_scal, (tame_mult d (fun u => U u)); auto).
      rewrite (J_ext _ (fun _ u => D u * phi u + (- c) * (U u * phi u))) by (intros; rewrite between_alt; fold c; ring).
      rewrite (J_ext (fun i u => (Q i - c * U u) * phi u) (fun i u => Q i * phi u + (- c) * (U u * phi u))) by (intros; ring).
      rewrite !J_plus; auto; try (intros; apply tame_scal; auto); [rewrite tower_Q; auto|intros; apply (tame_mult d (fun u => D u)); auto]. }
    rewrite X, J_atoms by auto.
    assert (V : forall i, (i < n)%nat -> w i * E d (fun u => ratio d (at_r y r i) u * ((Q i - c * U u) * phi u)) <= w i * - exp (theta * (r * y i k) + theta ^ 2 / 2)).
    { intros i Hi. apply Rmult_le_compat_l; auto. unfold phi. rewrite (E_tilted (at_r y r i) theta (Q i) c (r * mu k)). change (at_r y r i k) with (r * y i k).
      assert (Rabs (Q i * (1 - c * r)) <= S) by (apply (sumn_term n (fun i => Rabs (Q i * (1 - c * r)))); auto; intros; apply Rabs_pos).
      pose proof (Rle_abs (Q i * (1 - c * r))). pose proof (exp_pos (theta * (r * y i k) + theta ^ 2 / 2)).
      replace (Q i - c * (r * y i k + theta - r * mu k)) with (Q i * (1 - c * r) - c * theta) by ring.
      replace (c * theta) with (S + 1) by (unfold theta; field; lra). nra. }
    eapply Rle_lt_trans; [apply (sumn_le n _ _ V)|]. rewrite (sumn_ext n _ (fun i => - (w i * exp (theta * (r * y i k) + theta ^ 2 / 2)))) by (intros; ring).
    rewrite sumn_opp. apply Ropp_lt_gt_0_contravar. destruct (sumn_some_pos n w Hp) as (j & Hj & Hpj); [rewrite Hsum; lra|]. apply sumn_pos.
    - intros i Hi. apply Rmult_le_pos; auto. left; apply exp_pos.
    - exists j. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos. }
  assert (HP : 0 <= P).
  { unfold P, Ejoint. rewrite <- (E_const d 0). apply E_le; [apply tame_const|apply (tame_J (fun _ u => phi u * phi u)); auto|]. intros u. apply sumn_nonneg. intros i Hi.
    apply Rmult_le_pos; [apply Rmult_le_pos; auto; left; apply ratio_pos|left; apply Rmult_lt_0_compat; apply exp_pos]. }
  set (t := G / (P + 1)).
  assert (L : J (fun _ u => 2 * t * (between u * phi u) + (- t ^ 2) * (phi u * phi u)) <= J (fun _ u => between u ^ 2)).
  { apply J_le.
    - intros. apply tame_plus; apply tame_scal; auto.
    - intros. apply (tame_pow d between); auto.
    - intros i u _. pose proof (pow2_ge_0 (between u - t * phi u)). nra. }
  rewrite J_plus in L by (intros; apply tame_scal; auto).
  rewrite (J_scal (2 * t) (fun _ u => between u * phi u)), (J_scal (- t ^ 2) (fun _ u => phi u * phi u)) in L by auto. fold G P in L.
  eapply Rlt_le_trans; [|exact L]. replace (2 * t * G + - t ^ 2 * P) with (G ^ 2 * (P + 2) / (P + 1) ^ 2) by (unfold t; field; lra).
  apply Rdiv_lt_0_compat; [|apply pow_lt; lra]. apply Rmult_lt_0_compat; [|lra]. replace (G ^ 2) with ((- G) ^ 2) by ring. apply pow_lt. lra.
Qed.

Theorem F11_strict s_s : kept ^ 2 + fresh ^ 2 = s_s ^ 2 -> 0 < a_t -> 0 < l -> B <> 0 ->
  eta_var l a_t s_t a_s kept (fresh ^ 2) 1 < J_fresh (fun _ u z => (step_end u z k - a_s * mu k) ^ 2).
Proof.
  intros Hv Ha Hl HB. rewrite (F11_variance s_s Hv), (gaussian_share s_s Hv), F11_mmse. unfold lost_var. pose proof (between_pos Ha Hl).
  assert (0 < B ^ 2) by (apply pow2_gt_0; auto). nra.
Qed.

End Any_law.
