(** A. Kernels: the forward process, the bridge and the gap.

    Ends of a step are written [at st as ss] in the order of the code: alpha_t, sigma_t, alpha_s, sigma_s. *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Formulas.
Local Open Scope R_scope.

(** ** Definitions *)

(** alpha_{t|s}, the factor of a step *)
Definition factor (a_t a_s : R) : R := a_t / a_s.
(** sigma^2_{t|s}, the variance of a step *)
Definition noise (a_t s_t a_s s_s : R) : R := s_t ^ 2 - factor a_t a_s ^ 2 * s_s ^ 2.
Definition snr_of (a s : R) : R := a ^ 2 / s ^ 2.
(** a, b and c^2 of the bridge *)
Definition br_a (a_t s_t a_s s_s : R) : R := factor a_t a_s * s_s ^ 2 / s_t ^ 2.
Definition br_b (a_t s_t a_s s_s : R) : R := a_s * noise a_t s_t a_s s_s / s_t ^ 2.
Definition br_c2 (a_t s_t a_s s_s : R) : R := s_s ^ 2 * noise a_t s_t a_s s_s / s_t ^ 2.
(** The density of N(m, v) on a line at x *)
Definition normal (m v x : R) : R := exp (- (x - m) ^ 2 / (2 * v)) / sqrt (2 * PI * v).

(** ** The formulas that are run are these definitions *)

Lemma tie_alpha_ratio a_t a_s : Formulas.alpha_ratio a_t a_s = factor a_t a_s.
Proof. reflexivity. Qed.
Lemma tie_transition_var a_t s_t a_s s_s : a_s <> 0 -> Formulas.transition_var a_t s_t a_s s_s = noise a_t s_t a_s s_s.
Proof. intros; unfold Formulas.transition_var, noise, factor; field; auto. Qed.
Lemma tie_composed_var f u t : Formulas.composed_var f u t = u + f ^ 2 * t.
Proof. unfold Formulas.composed_var; ring. Qed.
Lemma tie_snr a s : s <> 0 -> Formulas.snr a s = snr_of a s.
Proof. reflexivity. Qed.
Lemma tie_gap s t : Formulas.gap s t = t - s.
Proof. unfold Formulas.gap; ring. Qed.
Lemma tie_bridge_a a_t s_t a_s s_s : a_s <> 0 -> s_t <> 0 -> Formulas.bridge_a a_t s_t a_s s_s = br_a a_t s_t a_s s_s.
Proof. intros; unfold Formulas.bridge_a, br_a, factor; field; auto. Qed.
Lemma tie_bridge_b a_t s_t a_s s_s : a_s <> 0 -> s_t <> 0 -> Formulas.bridge_b a_t s_t a_s s_s = br_b a_t s_t a_s s_s.
Proof. intros; unfold Formulas.bridge_b, br_b, noise, factor; field; auto. Qed.
Lemma tie_bridge_var a_t s_t a_s s_s : a_s <> 0 -> s_t <> 0 -> Formulas.bridge_var a_t s_t a_s s_s = br_c2 a_t s_t a_s s_s.
Proof. intros; unfold Formulas.bridge_var, br_c2, noise, factor; field; auto. Qed.

(** ** A1. Composition of forward kernels

    One step inserted into the next: [x_u = f_{u|t} (f_{t|s} x + n) + n'] with independent noises. The factors multiply, and the variance
    of [f_{u|t} n + n'] is [f_{u|t}^2 sigma^2_{t|s} + sigma^2_{u|t}]. *)

Theorem A1_factor a_s a_t a_u : a_s <> 0 -> a_t <> 0 -> factor a_u a_s = factor a_u a_t * factor a_t a_s.
Proof. intros; unfold factor; field; auto. Qed.

Theorem A1_variance a_s s_s a_t s_t a_u s_u : a_s <> 0 -> a_t <> 0 ->
  noise a_u s_u a_s s_s = noise a_u s_u a_t s_t + factor a_u a_t ^ 2 * noise a_t s_t a_s s_s.
Proof. intros; unfold noise, factor; field; auto. Qed.

(** ** A2. The bridge

    Bayes' rule as an identity of densities, in each coordinate: prior times likelihood is evidence times posterior. The posterior is
    [N(a x_t + b x_0, c^2)]. *)

Lemma noise_split a_t s_t a_s s_s : s_t ^ 2 = noise a_t s_t a_s s_s + factor a_t a_s ^ 2 * s_s ^ 2.
Proof. unfold noise; ring. Qed.

Theorem A2_bridge a_t s_t a_s s_s x_0 x_s x_t : 0 < a_s -> 0 < s_s -> 0 < s_t -> 0 < noise a_t s_t a_s s_s ->
  normal (a_s * x_0) (s_s ^ 2) x_s * normal (factor a_t a_s * x_s) (noise a_t s_t a_s s_s) x_t
  = normal (a_t * x_0) (s_t ^ 2) x_t
    * normal (br_a a_t s_t a_s s_s * x_t + br_b a_t s_t a_s s_s * x_0) (br_c2 a_t s_t a_s s_s) x_s.
Proof.
  intros Ha Hs Ht Hn. pose proof (noise_split a_t s_t a_s s_s) as E.
  unfold br_a, br_b, br_c2. set (f := factor a_t a_s) in *. set (v := noise a_t s_t a_s s_s) in *.
  assert (Hat : a_t = f * a_s) by (unfold f, factor; field; lra).
  assert (Hs2 : 0 < s_s ^ 2) by nra. assert (Ht2 : 0 < s_t ^ 2) by nra.
  unfold normal.
  replace (exp (- (x_s - a_s * x_0) ^ 2 / (2 * s_s ^ 2)) / sqrt (2 * PI * s_s ^ 2) *
    (exp (- (x_t - f * x_s) ^ 2 / (2 * v)) / sqrt (2 * PI * v)))
    with (exp (- (x_s - a_s * x_0) ^ 2 / (2 * s_s ^ 2)) * exp (- (x_t - f * x_s) ^ 2 / (2 * v))
          / (sqrt (2 * PI * s_s ^ 2) * sqrt (2 * PI * v))).
  2:{ field. pose proof PI_RGT_0. split; apply Rgt_not_eq, sqrt_lt_R0; nra. }
  replace (exp (- (x_t - a_t * x_0) ^ 2 / (2 * s_t ^ 2)) / sqrt (2 * PI * s_t ^ 2) *
    (exp (- (x_s - (f * s_s ^ 2 / s_t ^ 2 * x_t + a_s * v / s_t ^ 2 * x_0)) ^ 2 / (2 * (s_s ^ 2 * v / s_t ^ 2)))
     / sqrt (2 * PI * (s_s ^ 2 * v / s_t ^ 2))))
    with (exp (- (x_t - a_t * x_0) ^ 2 / (2 * s_t ^ 2))
          * exp (- (x_s - (f * s_s ^ 2 / s_t ^ 2 * x_t + a_s * v / s_t ^ 2 * x_0)) ^ 2 / (2 * (s_s ^ 2 * v / s_t ^ 2)))
          / (sqrt (2 * PI * s_t ^ 2) * sqrt (2 * PI * (s_s ^ 2 * v / s_t ^ 2)))).
  2:{ field. pose proof PI_RGT_0. assert (0 < s_s ^ 2 * v / s_t ^ 2) by (apply Rdiv_lt_0_compat; nra).
      repeat split; try lra; apply Rgt_not_eq, sqrt_lt_R0; nra. }
  assert (Hr : sqrt (2 * PI * s_s ^ 2) * sqrt (2 * PI * v)
               = sqrt (2 * PI * s_t ^ 2) * sqrt (2 * PI * (s_s ^ 2 * v / s_t ^ 2))).
  { pose proof PI_RGT_0. assert (0 < s_s ^ 2 * v / s_t ^ 2) by (apply Rdiv_lt_0_compat; nra).
    rewrite <- !sqrt_mult by nra. f_equal. field. lra. }
  rewrite Hr. f_equal. rewrite <- !exp_plus. f_equal.
  clear Hr. clearbody v. clearbody f. subst a_t. assert (Hv : v = s_t ^ 2 - f ^ 2 * s_s ^ 2) by lra. subst v.
  field. repeat split; try lra.
Qed.

(** At [sigma_s = 0] the bridge is the point [alpha_s x_0]. *)
Theorem A2_end a_t s_t a_s : a_s <> 0 -> s_t <> 0 ->
  br_a a_t s_t a_s 0 = 0 /\ br_b a_t s_t a_s 0 = a_s /\ br_c2 a_t s_t a_s 0 = 0.
Proof. intros; unfold br_a, br_b, br_c2, noise, factor; repeat split; field; auto. Qed.

(** ** A3. The gap identity *)

Theorem A3_gap a_t s_t a_s s_s : a_s <> 0 -> s_s <> 0 -> s_t <> 0 -> noise a_t s_t a_s s_s <> 0 ->
  br_b a_t s_t a_s s_s ^ 2 / br_c2 a_t s_t a_s s_s = snr_of a_s s_s - snr_of a_t s_t.
Proof.
  intros Ha Hs Ht Hn. unfold br_b, br_c2. set (v := noise a_t s_t a_s s_s) in *.
  replace ((a_s * v / s_t ^ 2) ^ 2 / (s_s ^ 2 * v / s_t ^ 2)) with (a_s ^ 2 * v / (s_t ^ 2 * s_s ^ 2))
    by (field; auto).
  unfold v, noise, factor, snr_of. field. auto.
Qed.

(** ** A5. The kernel at t = 1 where alpha_1 = 0 *)

Theorem A5_coefficients s_t a_s s_s : a_s <> 0 -> s_t <> 0 ->
  br_a 0 s_t a_s s_s = 0 /\ br_b 0 s_t a_s s_s = a_s /\ br_c2 0 s_t a_s s_s = s_s ^ 2.
Proof. intros; unfold br_a, br_b, br_c2, noise, factor; repeat split; field; auto. Qed.

(** The kernel itself: at alpha_1 = 0 Bayes' weights are the prior's, so that [q(x_s|x_1)] is the marginal [q_s], whatever [x_1]; here for
    every finite law, in every dimension. [dens d m v x] is the density of [N(m, v I)]. *)
Definition dens (d : nat) (m : vec) (v : R) (x : vec) : R := exp (- sq d (vminus x m) / (2 * v)) / sqrt (2 * PI * v) ^ d.

(** Bayes' weight of atom [i] at [x] *)
Definition bayes (d n : nat) (w : nat -> R) (y : nat -> vec) (a s : R) (x : vec) (i : nat) : R :=
  w i * dens d (vscal a (y i)) (s ^ 2) x / sumn n (fun j => w j * dens d (vscal a (y j)) (s ^ 2) x).

(** The exact reverse kernel: every atom's bridge, with Bayes' weight of the atom (A4) *)
Definition reverse_kernel (d n : nat) w y (a_t s_t a_s s_s : R) (x_t x_s : vec) : R :=
  sumn n (fun i => bayes d n w y a_t s_t x_t i *
    dens d (vplus (vscal (br_a a_t s_t a_s s_s) x_t) (vscal (br_b a_t s_t a_s s_s) (y i))) (br_c2 a_t s_t a_s s_s) x_s).

Lemma sq_ext d u v : (forall k, (k < d)%nat -> u k = v k) -> sq d u = sq d v.
Proof. intros H. unfold sq, dot. apply sumn_ext. intros; rewrite H; auto. Qed.

Lemma dens_ext d m m' v x : (forall k, (k < d)%nat -> m k = m' k) -> dens d m v x = dens d m' v x.
Proof. intros H. unfold dens. rewrite (sq_ext d (vminus x m) (vminus x m')); auto. intros; unfold vminus; rewrite H; auto. Qed.

Lemma dens_pos d m v x : 0 < v -> 0 < dens d m v x.
Proof.
  intros Hv. unfold dens. apply Rdiv_lt_0_compat; [apply exp_pos|]. apply pow_lt, sqrt_lt_R0. pose proof PI_RGT_0. nra.
Qed.

Theorem A5_kernel d n w y s_t a_s s_s x_1 x_s : a_s <> 0 -> 0 < s_t -> sumn n w = 1 ->
  reverse_kernel d n w y 0 s_t a_s s_s x_1 x_s = sumn n (fun i => w i * dens d (vscal a_s (y i)) (s_s ^ 2) x_s).
Proof.
  intros Ha Ht Hw. unfold reverse_kernel.
  destruct (A5_coefficients s_t a_s s_s Ha) as [Ea [Eb Ec]]; [lra|]. rewrite Ea, Eb, Ec.
  apply sumn_ext. intros i Hi. f_equal.
  - unfold bayes. set (D := dens d (fun _ => 0) (s_t ^ 2) x_1).
    assert (ED : forall j, dens d (vscal 0 (y j)) (s_t ^ 2) x_1 = D).
    { intros j. apply dens_ext. intros; unfold vscal; ring. }
    rewrite ED. rewrite (sumn_ext n _ (fun j => w j * D)) by (intros; rewrite ED; auto).
    rewrite sumn_scal_r, Hw. field. apply Rgt_not_eq, dens_pos. nra.
  - apply dens_ext. intros; unfold vplus, vscal; ring.
Qed.

Lemma c2_pos a_t s_t a_s s_s : 0 < s_s -> 0 < s_t -> 0 < noise a_t s_t a_s s_s -> 0 < br_c2 a_t s_t a_s s_s.
Proof. intros. unfold br_c2. apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; auto|]; apply pow_lt; auto. Qed.

(** ** A4. The exact reverse kernel: Bayes' rule in [R^d] *)

(** A2 in [R^d]: the coordinates multiply. *)
Theorem A2_bridge_vector d a_t s_t a_s s_s (x_0 x_s x_t : vec) : 0 < a_s -> 0 < s_s -> 0 < s_t -> 0 < noise a_t s_t a_s s_s ->
  dens d (vscal a_s x_0) (s_s ^ 2) x_s * dens d (vscal (factor a_t a_s) x_s) (noise a_t s_t a_s s_s) x_t
  = dens d (vscal a_t x_0) (s_t ^ 2) x_t
    * dens d (vplus (vscal (br_a a_t s_t a_s s_s) x_t) (vscal (br_b a_t s_t a_s s_s) x_0)) (br_c2 a_t s_t a_s s_s) x_s.
Proof.
  intros Ha Hs Ht Hn.
  assert (P : forall (d : nat) m v x, 0 < v -> dens (S d) m v x = dens d m v x * normal (m d) v (x d)).
  { clear d. intros d m v x Hv. unfold dens, normal, sq, dot, vminus. simpl sumn.
    replace (- (sumn d (fun k => (x k - m k) * (x k - m k)) + (x d - m d) * (x d - m d)) / (2 * v))
      with (- sumn d (fun k => (x k - m k) * (x k - m k)) / (2 * v) + - (x d - m d) ^ 2 / (2 * v)) by (field; lra).
    rewrite exp_plus. simpl pow. pose proof PI_RGT_0.
    assert (sqrt (2 * PI * v) <> 0) by (apply Rgt_not_eq, sqrt_lt_R0; nra).
    field. split; auto. apply pow_nonzero; auto. }
  pose proof (c2_pos a_t s_t a_s s_s Hs Ht Hn).
  induction d.
  - unfold dens, sq, dot; simpl. rewrite !Rdiv_1, !Ropp_0. unfold Rdiv. rewrite !Rmult_0_l. ring.
  - rewrite !P by (try nra; auto).
    pose proof (A2_bridge a_t s_t a_s s_s (x_0 d) (x_s d) (x_t d) Ha Hs Ht Hn) as B.
    unfold vscal, vplus in *.
    match goal with |- ?p * ?q * (?r * ?t) = _ => replace (p * q * (r * t)) with ((p * r) * (q * t)) by ring end.
    rewrite IHd, B. ring.
Qed.

(** The reverse kernel by Bayes' rule on [x_s], which knows nothing of the posterior of [x_0]: [q(x_t|x_s) q_s(x_s) / q_t(x_t)]. It is the
    mixture of the bridges with the posterior's weights. *)
Theorem A4_kernel d n w y a_t s_t a_s s_s x_t x_s :
  (forall i, (i < n)%nat -> 0 <= w i) -> sumn n w = 1 ->
  0 < a_s -> 0 < s_s -> 0 < s_t -> 0 < noise a_t s_t a_s s_s ->
  dens d (vscal (factor a_t a_s) x_s) (noise a_t s_t a_s s_s) x_t * sumn n (fun i => w i * dens d (vscal a_s (y i)) (s_s ^ 2) x_s)
    / sumn n (fun i => w i * dens d (vscal a_t (y i)) (s_t ^ 2) x_t)
  = reverse_kernel d n w y a_t s_t a_s s_s x_t x_s.
Proof.
  intros Hw Hs1 Ha Hs Ht Hn. unfold reverse_kernel, bayes.
  set (Z := sumn n (fun j => w j * dens d (vscal a_t (y j)) (s_t ^ 2) x_t)).
  assert (HZ : 0 < Z).
  { apply sumn_pos.
    - intros i Hi. apply Rmult_le_pos; auto. left; apply dens_pos; nra.
    - destruct (sumn_some_pos n w Hw) as [k [Hk Hp]]; [lra|]. exists k; split; auto. apply Rmult_lt_0_compat; auto. apply dens_pos; nra. }
  unfold Rdiv. rewrite <- sumn_scal, <- sumn_scal_r. apply sumn_ext. intros i Hi.
  pose proof (A2_bridge_vector d a_t s_t a_s s_s (y i) x_s x_t Ha Hs Ht Hn) as B.
  match goal with |- ?p * (?q * ?r) * ?z = _ => replace (p * (q * r) * z) with (q * (r * p) * z) by ring end.
  rewrite B. ring.
Qed.

(** In the coordinate [u = (x_s - a x_t - b m)/c], [m] the denoiser, a draw from atom [i]'s bridge is [sqrt(g) xi_i + n]. *)
Theorem A4_coordinate a_t s_t a_s s_s x_t m y_i n_i : 0 < a_s -> 0 < s_s -> 0 < s_t -> 0 < noise a_t s_t a_s s_s ->
  let a := br_a a_t s_t a_s s_s in let b := br_b a_t s_t a_s s_s in let c := sqrt (br_c2 a_t s_t a_s s_s) in
  (a * x_t + b * y_i + c * n_i - a * x_t - b * m) / c = sqrt (snr_of a_s s_s - snr_of a_t s_t) * (y_i - m) + n_i.
Proof.
  intros Ha Hs Ht Hn a b c.
  pose proof (c2_pos a_t s_t a_s s_s Hs Ht Hn) as Hc2.
  assert (Hc : 0 < c) by (apply sqrt_lt_R0; auto).
  assert (Hb : 0 < b) by (unfold b, br_b; apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; auto|apply pow_lt; auto]).
  rewrite <- A3_gap by lra. fold b.
  assert (E : sqrt (b ^ 2 / br_c2 a_t s_t a_s s_s) = b / c).
  { rewrite sqrt_div_alt by auto. fold c. f_equal. replace (b ^ 2) with (Rsqr b) by (unfold Rsqr; ring). apply sqrt_Rsqr; lra. }
  rewrite E. field. lra.
Qed.
