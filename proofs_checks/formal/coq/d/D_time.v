(** D, continued: the mean square of the noise (D2), the dynamics near t = 0 (D5) and the rate of eps (D6). *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas A B E F Posterior D.
Local Open Scope R_scope.

(** ** D2. On average the noise prediction is at most d, for every finite law

    In units of sigma, [u = x_t/sigma], the joint law of the atom i and u has the density [w_i ratio(m_i)] against N(0, I), with
    [m_i = (a/s) y_i]; expectations are under this law. The posterior mean in u is [hat], and [eps = u - (a/s) hat]. *)

Section Mean_square.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (r : R).
Hypothesis Hw : weights n w.
(** [r = alpha/sigma], the root of the signal-to-noise ratio *)
Definition at_r (i : nat) : vec := vscal r (y i).
Notation mixr := (mix d n w at_r).
Definition post (i : nat) (u : vec) : R := w i * ratio d (at_r i) u / mixr u.
Definition hat (u : vec) : vec := fun k => sumn n (fun i => post i u * y i k).
Definition eps_u (u : vec) : vec := fun k => u k - r * hat u k.
(** The expectation of a function of the atom and u *)
Definition Ejoint (f : nat -> vec -> R) : R := E d (fun u => sumn n (fun i => w i * ratio d (at_r i) u * f i u)).
Definition mmse : R := Ejoint (fun i u => sq d (vminus (y i) (hat u))).
Definition eps_square : R := Ejoint (fun _ u => sq d (eps_u u)).

(** [post] is Bayes' posterior at [x_t = sigma u]. *)
Theorem post_is_bayes a s i u : 0 < s -> r = a / s -> post i u = bayes d n w y a s (vscal s u) i.
Proof.
  intros Hs Hr. rewrite bayes_logit by lra. unfold post, mix.
  assert (X : forall j, ratio d (at_r j) u = exp (logit d a s (vscal s u) (y j))).
  { intros j. unfold ratio, logit, at_r. rewrite dot_scal_l, sq_scal, dot_scal_l, (dot_comm d u). f_equal. rewrite Hr. field. lra. }
  rewrite X. f_equal. apply sumn_ext. intros j _. rewrite X. auto.
Qed.

Lemma tame_post i : tame d (post i).
Proof.
  rewrite (functional_extensionality (post i) (fun u => w i * exp ((dot d (at_r i) u - sq d (at_r i) / 2) + (-1) * ln (mixr u)))).
  - apply tame_scal, tame_exp. apply lip_plus; [apply lip_ratio_exponent|]. apply lip_scal, lip_ln_mix. auto.
  - intros u. unfold post. rewrite exp_plus. replace (-1 * ln (mixr u)) with (- ln (mixr u)) by ring.
    rewrite exp_Ropp, exp_ln by (apply mix_pos; auto). unfold ratio, Rdiv. ring.
Qed.

Lemma tame_hat k : tame d (fun u => hat u k).
Proof.
  apply (tame_sum d n (fun i u => post i u * y i k)). intros i _. apply (tame_mult d (post i)); [apply tame_post|apply tame_const].
Qed.

Lemma tame_eps k : (k < d)%nat -> tame d (fun u => eps_u u k).
Proof. intros Hk. apply (tame_minus d (fun u => u k)); [apply tame_coord; auto|apply tame_scal, tame_hat]. Qed.

Theorem D2_mean_square : eps_square = Formulas.epsilon_norm2 (INR d) (r ^ 2) mmse.
Proof.
  rewrite tie_epsilon_norm2.
  assert (Tsq : forall (f : vec -> vec), (forall k, (k < d)%nat -> tame d (fun u => f u k)) -> tame d (fun u => sq d (f u))).
  { intros f Hf. apply (tame_sum d d (fun k u => f u k * f u k)). intros k Hk. apply (tame_mult d (fun u => f u k)); auto. }
  assert (Tj : forall i f, tame d f -> tame d (fun u => w i * ratio d (at_r i) u * f u)).
  { intros i f Hf. apply (tame_mult d (fun u => w i * ratio d (at_r i) u)); auto. apply tame_scal, tame_ratio. }
  assert (Ty : forall i, tame d (fun u => sq d (vminus (y i) (hat u)))).
  { intros i. apply Tsq. intros k _. apply (tame_minus d (fun _ => y i k)); [apply tame_const|apply tame_hat]. }
  assert (Tn : forall i, tame d (fun u => sq d (vminus u (at_r i)))).
  { intros i. apply (Tsq (fun u => vminus u (at_r i))). intros k Hk. apply (tame_minus d (fun u => u k)); [apply tame_coord; auto|apply tame_const]. }
  assert (Te : tame d (fun u => sq d (eps_u u))) by (apply Tsq; apply tame_eps).
  (* the noise u - m_i has mean square d *)
  assert (N : Ejoint (fun i u => sq d (vminus u (at_r i))) = INR d).
  { unfold Ejoint. rewrite (E_sum d n (fun i u => w i * ratio d (at_r i) u * sq d (vminus u (at_r i)))) by auto.
    rewrite (sumn_ext n _ (fun i => w i * INR d)).
    - rewrite sumn_scal_r, (proj2 Hw). ring.
    - intros i _. set (m := at_r i).
      rewrite (E_ext d _ (fun u => w i * (ratio d m u * quad d (fun _ => 1) u + (-2) * (ratio d m u * dot d m u) + sq d m * ratio d m u))).
      + assert (T1 : tame d (fun u => ratio d m u * quad d (fun _ => 1) u)) by (apply tame_mult; [apply tame_ratio|apply tame_quad]).
        assert (T2 : tame d (fun u => ratio d m u * dot d m u)) by (apply tame_mult; [apply tame_ratio|apply tame_dot]).
        assert (T3 := tame_ratio d m).
        rewrite E_scal, E_plus, E_plus, !E_scal, E_ratio_quad, E_ratio_dot, E_ratio; auto; try (apply tame_scal; auto).
        * rewrite sumn_scal, sumn_plus, sumn_const. replace (sumn d (fun i0 => m i0 ^ 2)) with (sq d m) by (unfold sq, dot; apply sumn_ext; intros; ring).
          unfold sq. ring.
        * apply tame_plus; auto. apply tame_scal; auto.
        * apply tame_plus; [apply tame_plus; auto; apply tame_scal; auto|apply tame_scal; auto].
      + intros u. rewrite sq_minus. replace (quad d (fun _ => 1) u) with (sq d u) by (unfold quad, sq, dot; apply sumn_ext; intros; ring).
        rewrite (dot_comm d u m). ring. }
  (* pointwise, under the posterior, the squares add: the mixed term has mean zero *)
  assert (P : forall u, sumn n (fun i => w i * ratio d (at_r i) u * sq d (vminus u (at_r i)))
     = sumn n (fun i => w i * ratio d (at_r i) u * sq d (eps_u u)) + r ^ 2 * sumn n (fun i => w i * ratio d (at_r i) u * sq d (vminus (y i) (hat u)))).
  { intros u. assert (Hm := mix_pos d n w at_r u Hw).
    assert (C : forall k, sumn n (fun i => w i * ratio d (at_r i) u * (y i k - hat u k)) = 0).
    { intros k. rewrite (sumn_ext n _ (fun i => mixr u * (post i u * y i k) - hat u k * (w i * ratio d (at_r i) u))).
      - rewrite sumn_minus, !sumn_scal. change (sumn n (fun i => w i * ratio d (at_r i) u)) with (mixr u). unfold hat. ring.
      - intros i _. unfold post. field. lra. }
    rewrite (sumn_ext n (fun i => w i * ratio d (at_r i) u * sq d (vminus u (at_r i)))
      (fun i => w i * ratio d (at_r i) u * sq d (eps_u u) - 2 * r * sumn d (fun k => eps_u u k * (w i * ratio d (at_r i) u * (y i k - hat u k)))
                + r ^ 2 * (w i * ratio d (at_r i) u * sq d (vminus (y i) (hat u))))).
    - rewrite sumn_plus, sumn_minus, !sumn_scal, sumn_swap. rewrite (sumn_zero d); [ring|]. intros k _. rewrite sumn_scal, C. ring.
    - intros i _. unfold sq, dot. rewrite <- !sumn_scal, <- sumn_minus, <- sumn_plus. apply sumn_ext. intros k _.
      unfold vminus, eps_u, at_r, vscal. ring. }
  assert (S1 : tame d (fun u => sumn n (fun i => w i * ratio d (at_r i) u * sq d (eps_u u)))).
  { apply (tame_sum d n (fun i u => w i * ratio d (at_r i) u * sq d (eps_u u))). auto. }
  assert (S2 : tame d (fun u => sumn n (fun i => w i * ratio d (at_r i) u * sq d (vminus (y i) (hat u))))).
  { apply (tame_sum d n (fun i u => w i * ratio d (at_r i) u * sq d (vminus (y i) (hat u)))). auto. }
  unfold Ejoint in N. rewrite (E_ext d _ _ P), E_plus, E_scal in N by (auto; apply tame_scal; auto).
  unfold eps_square, mmse, Ejoint. lra.
Qed.

Theorem D2_mean_at_most_d : eps_square <= INR d.
Proof.
  rewrite D2_mean_square, tie_epsilon_norm2. assert (0 <= r ^ 2 * mmse); [|lra]. apply Rmult_le_pos; [apply pow2_ge_0|].
  unfold mmse, Ejoint. rewrite <- (E_const d 0). apply E_le; [apply tame_const| |].
  - apply (tame_sum d n (fun i u => w i * ratio d (at_r i) u * sq d (vminus (y i) (hat u)))). intros i _.
    apply (tame_mult d (fun u => w i * ratio d (at_r i) u)); [apply tame_scal, tame_ratio|].
    apply (tame_sum d d (fun k u => vminus (y i) (hat u) k * vminus (y i) (hat u) k)). intros k _.
    apply (tame_mult d (fun u => vminus (y i) (hat u) k)); apply (tame_minus d (fun _ => y i k)); try apply tame_const; apply tame_hat.
  - intros u. apply sumn_nonneg. intros i Hi. apply Rmult_le_pos; [|apply sq_nonneg]. apply Rmult_le_pos; [apply Hw; auto|left; apply ratio_pos].
Qed.
End Mean_square.

(** Off the data the score is [dist/sigma^2] up to an explicit remainder: [y] any point, of norm at most [R]. *)
Theorem D2_remainder d n w y a s x i R : 0 <= a <= 1 -> vnorm d (y i) <= R ->
  Rabs (vnorm d (vminus (vscal a (denoiser d n w y a s x)) x) - vnorm d (vminus (y i) x))
  <= vnorm d (vminus (denoiser d n w y a s x) (y i)) + (1 - a) * R.
Proof.
  intros Ha HR. set (m := denoiser d n w y a s x). set (e := vplus (vscal a (vminus m (y i))) (vscal (- (1 - a)) (y i))).
  assert (He : vnorm d e <= vnorm d (vminus m (y i)) + (1 - a) * R).
  { eapply Rle_trans; [apply norm_triang|]. rewrite !norm_scal, Rabs_Ropp, !Rabs_right by lra.
    pose proof (norm_nonneg d (vminus m (y i))). pose proof (norm_nonneg d (y i)). apply Rplus_le_compat; nra. }
  assert (A1 : vnorm d (vminus (vscal a m) x) <= vnorm d (vminus (y i) x) + vnorm d e).
  { rewrite (norm_ext d (vminus (vscal a m) x) (vplus (vminus (y i) x) e)); [apply norm_triang|]. intros k _. unfold e, vplus, vminus, vscal. ring. }
  assert (A2 : vnorm d (vminus (y i) x) <= vnorm d (vminus (vscal a m) x) + vnorm d e).
  { rewrite (norm_ext d (vminus (y i) x) (vplus (vminus (vscal a m) x) (vscal (-1) e))).
    - eapply Rle_trans; [apply norm_triang|]. rewrite norm_scal, Rabs_left by lra. lra.
    - intros k _. unfold e, vplus, vminus, vscal. ring. }
  apply Rabs_le. lra.
Qed.

(** So [sigma^2 |score| = |alpha xhat - x|] tends to the distance, and the score itself, like eps, diverges off the data. *)
Theorem D2_distance {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F} d n w y (al si : T -> R) x i :
  weights n w -> filterlim al F (locally 1) -> filterlim si F (locally 0) -> F (fun t => si t <> 0) -> (i < n)%nat -> 0 < w i ->
  (forall j, (j < n)%nat -> j <> i -> dist2 d x (y i) < dist2 d x (y j)) -> F (fun t => 0 <= al t <= 1) ->
  filterlim (fun t => vnorm d (vminus (vscal (al t) (denoiser d n w y (al t) (si t) x)) x)) F (locally (vnorm d (vminus (y i) x))).
Proof.
  intros Hw Hal Hsi Hs0 Hin Hi Hu Ha. pose proof (D1_nearest d n w y Hw F al si x i Hal Hsi Hs0 Hin Hi Hu) as L.
  assert (L2 : filterlim (fun t => vnorm d (vminus (denoiser d n w y (al t) (si t) x) (y i)) + (1 - al t) * vnorm d (y i)) F (locally 0)).
  { apply (flim_eq F (fun t => vnorm d (vminus (denoiser d n w y (al t) (si t) x) (y i)) + (1 - al t) * vnorm d (y i)) _ (0 + (1 - 1) * vnorm d (y i)));
      [apply filter_forall; auto|ring|]. apply (flim_plus F); auto. flim. }
  intros P [eps HP]. assert (N := flim_near F _ _ _ L2 (cond_pos eps)). unfold filtermap.
  apply (filter_imp (fun t => 0 <= al t <= 1 /\ Rabs (vnorm d (vminus (denoiser d n w y (al t) (si t) x) (y i)) + (1 - al t) * vnorm d (y i) - 0) < eps));
    [|apply filter_and; auto].
  intros t [H1 H2]. apply HP. eapply Rle_lt_trans; [apply (D2_remainder d n w y (al t) (si t) x i (vnorm d (y i)) H1 (Rle_refl _))|].
  rewrite Rminus_0_r in H2. eapply Rle_lt_trans; [apply Rle_abs|exact H2].
Qed.

(** At a tie the same holds with the limit of the denoiser, whatever it is, in the place of the nearest point … *)
Theorem D2_tie {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F} d n w y (al si : T -> R) x (lim : vec) :
  filterlim al F (locally 1) -> (forall k, (k < d)%nat -> filterlim (fun t => denoiser d n w y (al t) (si t) x k) F (locally (lim k))) ->
  filterlim (fun t => vnorm d (vminus (vscal (al t) (denoiser d n w y (al t) (si t) x)) x)) F (locally (vnorm d (vminus lim x))).
Proof.
  intros Hal HL. unfold vnorm. apply (flim_comp F (fun t => sq d (vminus (vscal (al t) (denoiser d n w y (al t) (si t) x)) x)) sqrt).
  - unfold sq, dot. apply (flim_sum F d (fun k t => vminus (vscal (al t) (denoiser d n w y (al t) (si t) x)) x k * vminus (vscal (al t) (denoiser d n w y (al t) (si t) x)) x k)).
    intros k Hk. specialize (HL k Hk). unfold vminus, vscal.
    replace ((lim k - x k) * (lim k - x k)) with ((1 * lim k - x k) * (1 * lim k - x k)) by ring. flim.
  - apply continuity_pt_filterlim, continuity_pt_sqrt, sq_nonneg.
Qed.

(** … and it may be 0: for the two points -1 and 1 of equal weight the score at 0 is 0 at every time. *)
Theorem D2_tie_zero a s : 0 < s ->
  is_derive (log_density 1 2 (fun _ => 1 / 2) (fun i _ => match i with O => -1 | _ => 1 end) a s (fun _ => 0) 0) 0 0.
Proof.
  intros Hs. assert (Hw : weights 2 (fun _ => 1 / 2)) by (split; [intros; lra|simpl; lra]).
  set (y := fun i (_ : nat) => match i with O => -1 | _ => 1 end : R).
  assert (D := D2_score 1 2 (fun _ => 1 / 2) y a s (fun _ => 0) 0 Hw Hs ltac:(lia)).
  assert (Z : denoiser 1 2 (fun _ => 1 / 2) y a s (fun _ => 0) 0%nat = 0).
  { rewrite denoiser_logit by lra.
    assert (L : forall i, logit 1 a s (fun _ => 0) (y i) = logit 1 a s (fun _ => 0) (y 0%nat)).
    { intros i. unfold logit, sq, dot. simpl. destruct i; simpl; field; lra. }
    cbn [sumn]. rewrite (L 1%nat). unfold y. unfold Rdiv at 1. apply Rmult_eq_0_compat_r. ring. }
  rewrite Z in D. replace ((a * 0 - 0) / s ^ 2) with 0 in D by (field; lra). exact D.
Qed.

Theorem D2_diverges {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F} (q si : T -> R) r k M : 0 < r -> (0 < k)%nat ->
  filterlim q F (locally r) -> filterlim si F (locally 0) -> F (fun t => 0 < si t) -> F (fun t => M < q t / si t ^ k).
Proof.
  intros Hr Hk Hq Hsi Hs. assert (H2 : 0 < r / 2) by lra. assert (Hm : 0 < r / 2 / (Rabs M + 1)) by (apply Rdiv_lt_0_compat; pose proof (Rabs_pos M); lra).
  assert (N1 := flim_near F _ _ _ Hq H2). assert (N2 := flim_near F _ _ _ Hsi Hm). assert (N3 := flim_near F _ _ _ Hsi Rlt_0_1).
  apply (filter_imp (fun t => (Rabs (q t - r) < r / 2 /\ Rabs (si t - 0) < r / 2 / (Rabs M + 1)) /\ (Rabs (si t - 0) < 1 /\ 0 < si t))); [|repeat apply filter_and; auto].
  intros t [[A B] [C Dp]]. rewrite Rminus_0_r in B, C. rewrite Rabs_right in B, C by lra. apply Rabs_lt_between in A.
  assert (Hpow : si t ^ k <= si t). { destruct k; [lia|]. simpl. assert (si t ^ k <= 1) by (rewrite <- (pow1 k); apply pow_incr; lra). assert (0 <= si t ^ k) by (apply pow_le; lra). nra. }
  assert (Hp0 : 0 < si t ^ k) by (apply pow_lt; auto). pose proof (Rabs_pos M).
  apply Rmult_lt_reg_r with (si t ^ k); auto. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  apply Rle_lt_trans with (Rabs M * si t). { apply Rle_trans with (Rabs M * si t ^ k); [apply Rmult_le_compat_r; [lra|apply Rle_abs]|apply Rmult_le_compat_l; lra]. }
  apply Rmult_lt_compat_r with (r := Rabs M + 1) in B; [|lra]. unfold Rdiv in B at 1. rewrite Rmult_assoc, Rinv_l in B by lra. nra.
Qed.

(** So the two norms are asymptotically [dist/sigma^2] and [dist/sigma]: [q] is [sigma^2 |score| = sigma |eps|] of D2_distance. *)
Theorem D2_norms {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F} (q si : T -> R) r : 0 < r ->
  filterlim q F (locally r) -> F (fun t => 0 < si t) ->
  filterlim (fun t => q t / si t ^ 2 / Formulas.score_norm r (si t)) F (locally 1) /\
  filterlim (fun t => q t / si t / Formulas.epsilon_norm r (si t)) F (locally 1).
Proof.
  intros Hr Hq Hs. assert (L : filterlim (fun t => q t * / r) F (locally 1)).
  { apply (filterlim_comp _ _ _ q (fun z => z * / r) F (locally r)); auto. rewrite <- (Rinv_r r) by lra.
    apply (ex_derive_continuous (fun z => z * / r)). auto_derive. auto. }
  split; (eapply filterlim_ext_loc; [|exact L]); eapply filter_imp; try exact Hs; intros t Ht; unfold Formulas.score_norm, Formulas.epsilon_norm; field; lra.
Qed.

(** ** D5. SDE and flow at t = 0, on any differentiable schedule *)

Section Schedule.
Variables (al si : R -> R) (t a' s' : R).
Hypothesis Hal : is_derive al t a'.
Hypothesis Hsi : is_derive si t s'.
Hypothesis Ha : 0 < al t.
Hypothesis Hs : 0 < si t.
Let f := Formulas.sde_rate (al t) a'.
Let g2 := Formulas.sde_diffusion2 (al t) (si t) a' s'.

Lemma D_log_snr : is_derive (fun u => ln (al u ^ 2 / si u ^ 2)) t (2 * a' / al t - 2 * s' / si t).
Proof.
  assert (0 < al t ^ 2 / si t ^ 2) by (apply Rdiv_lt_0_compat; apply pow_lt; auto).
  auto_derive.
  - repeat split; try (eexists; eassumption); auto; try lra; try nra.
  - rate Hal; rate Hsi. field. split; lra.
Qed.

(** f and g^2 keep the mean factor and the variance; [g^2 = - sigma^2 d log snr/dt]. *)
Theorem D5_coefficients : f * al t = a' /\ is_derive (fun u => si u ^ 2) t (2 * f * si t ^ 2 + g2) /\
  g2 = - si t ^ 2 * (2 * a' / al t - 2 * s' / si t).
Proof.
  unfold f, g2. rewrite tie_sde_diffusion2. unfold Formulas.sde_rate. split; [field; lra|]. split; [|field; lra].
  auto_derive; [exists s'; exact Hsi|]. rate Hsi. field. lra.
Qed.

(** The reverse drift has the factor [- d log snr/dt] of [x - alpha m], the flow's drift half of it. *)
Theorem D5_factors x m : let sc := - eps_of x m (al t) (si t) / si t in let k := - (2 * a' / al t - 2 * s' / si t) in
  Formulas.reverse_drift x sc f g2 = f * x + k * (x - al t * m) /\
  Formulas.ode_drift a' s' m (eps_of x m (al t) (si t)) = f * x + k / 2 * (x - al t * m).
Proof.
  intros sc k. unfold sc, k, f, g2. rewrite tie_reverse_drift, tie_sde_diffusion2. unfold Formulas.sde_rate, Formulas.ode_drift, eps_of.
  split; field; lra.
Qed.

(** Where the denoiser is an atom y: the flow keeps [(x - alpha y)/sigma], the mean of the SDE keeps [(x - alpha y) alpha/sigma^2]. *)
Theorem D5_flow_keeps (X : R -> R) y : is_derive X t (Formulas.ode_drift a' s' y (eps_of (X t) y (al t) (si t))) ->
  is_derive (fun u => (X u - al u * y) / si u) t 0.
Proof.
  intros HX. auto_derive; [repeat split; try (eexists; eassumption); lra|]. rate HX; rate Hal; rate Hsi. unfold Formulas.ode_drift, eps_of. field. lra.
Qed.

Theorem D5_sde_keeps (X : R -> R) y : is_derive X t (Formulas.reverse_drift (X t) (- eps_of (X t) y (al t) (si t) / si t) f g2) ->
  is_derive (fun u => (X u - al u * y) * al u / si u ^ 2) t 0.
Proof.
  intros HX. auto_derive; [repeat split; try (eexists; eassumption); apply Rmult_integral_contrapositive; split; lra|].
  rate HX; rate Hal; rate Hsi. rewrite tie_reverse_drift. unfold f, g2. rewrite tie_sde_diffusion2. unfold Formulas.sde_rate, eps_of. field. lra.
Qed.
End Schedule.

(** The integral of the factor, [log(snr_s/snr_t)], passes every level as sigma_s tends to 0. *)
Theorem D5_divergence {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F} (g : T -> R) gt M : 0 < gt ->
  (forall K, F (fun s => K < g s)) -> F (fun s => M < Formulas.reverse_rate_integral gt (g s)).
Proof.
  intros Hg H. apply (filter_imp (fun s => gt * exp M < g s)); [|apply H]. intros s Hs. rewrite tie_reverse_rate_integral.
  assert (0 < gt * exp M) by (apply Rmult_lt_0_compat; auto; apply exp_pos). rewrite ln_div by lra.
  apply ln_increasing in Hs; auto. rewrite ln_mult, ln_exp in Hs; auto; [lra|apply exp_pos].
Qed.

(** ** D6. The rate of eps at t = 0 *)

Theorem D6_gaussian x mu l a s : 0 < s -> 0 <= l -> eps_of x (gauss_denoiser mu l a s x) a s = Formulas.gaussian_epsilon x mu l a s.
Proof.
  intros Hs Hl. assert (0 < a ^ 2 * l + s ^ 2). { assert (0 <= a ^ 2 * l) by (apply Rmult_le_pos; auto; apply pow2_ge_0). assert (0 < s ^ 2) by (apply pow_lt; auto). lra. }
  unfold eps_of, gauss_denoiser, Formulas.gaussian_epsilon, var_t. field. lra.
Qed.

(** Where the denoiser has become an atom *)
Theorem D6_atom (al si : R -> R) t a' s' x y : is_derive al t a' -> is_derive si t s' -> si t <> 0 ->
  is_derive (fun u => eps_of x y (al u) (si u)) t (Formulas.atom_epsilon_rate x y (al t) (si t) a' s').
Proof.
  intros Ha Hs Hn. rewrite tie_atom_epsilon_rate by auto. unfold eps_of. auto_derive; [repeat split; try (eexists; eassumption); auto|].
  rate Ha; rate Hs. field. auto.
Qed.

(** At the atom itself: half of sigma' y in VP, to leading order, and 0 on rectified flow. *)
Theorem D6_at_atom_vp y s' : filterlim (fun s => Formulas.atom_epsilon_rate y y (sqrt (1 - s ^ 2)) s (- s * s' / sqrt (1 - s ^ 2)) s') (at_right 0)
  (locally (Formulas.vp_atom_epsilon_rate y s')).
Proof.
  rewrite tie_vp_atom_epsilon_rate.
  apply (flim_eq (at_right 0) (fun s => s' * y * (/ sqrt (1 - s ^ 2) - 1 / (1 + sqrt (1 - s ^ 2)))) _ (s' * y * (/ sqrt (1 - 0 ^ 2) - 1 / (1 + sqrt (1 - 0 ^ 2))))).
  - exists (mkposreal (1 / 2) ltac:(lra)). intros s Hs Hs0. change (Rabs (s - 0) < 1 / 2) in Hs. rewrite Rminus_0_r, Rabs_right in Hs by lra.
    rewrite tie_atom_epsilon_rate by lra. assert (Hp : 0 < 1 - s ^ 2) by nra. assert (Q : sqrt (1 - s ^ 2) * sqrt (1 - s ^ 2) = 1 - s ^ 2) by (apply sqrt_sqrt; lra).
    assert (Hq : 0 < sqrt (1 - s ^ 2)) by (apply sqrt_lt_R0; auto). set (q := sqrt (1 - s ^ 2)) in *.
    assert (E2 : s ^ 2 = (1 - q) * (1 + q)) by lra. assert (1 - q <> 0) by (intros Z; assert (Eq : q = 1) by lra; rewrite Eq in Q; nra).
    replace (- (- s * s' / q) * y / s) with (s' * y / q) by (field; lra).
    replace (- s' * (y - q * y) / s ^ 2 - - s * s' / q * y / s) with (- s' * (y - q * y) / s ^ 2 + s' * y / q) by (field; lra).
    rewrite E2. field. repeat split; lra.
  - replace (1 - 0 ^ 2) with 1 by ring. rewrite sqrt_1. field.
  - assert (L : filterlim (fun s : R => s) (at_right 0) (locally 0)) by (intros P [e HP]; exists e; intros z Hz _; apply HP; auto).
    assert (Lq : filterlim (fun s => sqrt (1 - s ^ 2)) (at_right 0) (locally (sqrt (1 - 0 ^ 2)))).
    { apply (flim_comp (at_right 0) (fun s => 1 - s ^ 2) sqrt); [flim|apply continuous_sqrt]. }
    apply (flim_mult (at_right 0)); [apply (flim_const (at_right 0))|]. apply (flim_minus (at_right 0)).
    + apply (flim_inv (at_right 0)); auto. replace (1 - 0 ^ 2) with 1 by ring. rewrite sqrt_1. lra.
    + flim. replace (1 - 0 ^ 2) with 1 by ring. rewrite sqrt_1. lra.
Qed.

Theorem D6_at_atom_flow y t : t <> 0 -> Formulas.atom_epsilon_rate y y (1 - t) t (-1) 1 = 0.
Proof. intros Ht. rewrite tie_atom_epsilon_rate by auto. field. auto. Qed.
